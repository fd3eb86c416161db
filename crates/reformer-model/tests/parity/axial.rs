//! Axial positions, forward and gradients.

use reformer_model::config::{AxialCombine, Config, Fields};
use reformer_model::parameters::Parameters;
use reformer_model::positions::Positions;
use reformer_tensor::{Cpu, Matrix};
use reformer_testing::fixture::{Report, Tensors};

use super::sizes;

const ALLOWANCE: f64 = 1e-6;

/// A model whose positions are the fixture's tables.
fn tables(fields: Fields, tensors: &Tensors) -> Result<(Config, Parameters), String> {
    let config = Config::check(fields).map_err(|e| e.to_string())?;
    let mut parameters = Parameters::zeros(&config);
    for i in 0..config.axial_pos_shape.len() {
        let name = format!("reformer.embeddings.position_embeddings.weights.{i}");
        parameters.find_mut(&name).ok_or("no table")?.copy_from_slice(tensors.f32(&format!("w{i}"))?);
    }
    Ok((config, parameters))
}

pub(crate) fn hf_axial(config: &serde_json::Value, tensors: &Tensors) -> Result<Report, String> {
    let map = config.as_object().ok_or("config is no object")?.clone();
    let fields = Fields::from_map(map).map_err(|e| e.to_string())?;
    let width = fields.hidden_size;
    let (config, parameters) = tables(fields, tensors)?;
    let positions = Positions::new(&config, parameters.group(0));
    let mut report = Report::default();

    let [rows, len] = [tensors.shape("train_out")?[0], tensors.shape("train_out")?[1]];
    let mut x = Matrix::zeros(rows * len, width);
    positions.add(&Cpu::single(), len, 0, &mut x, None);
    report.compare("train_out", x.as_slice(), tensors.f32("train_out")?, ALLOWANCE);

    let dx = Matrix::from_slice(rows * len, width, tensors.f32("grad_out")?);
    let mut gradient = parameters.group(0).zeros_like();
    positions.backward(len, &dx, None, &mut gradient);
    for i in 0..2 {
        report.compare(
            &format!("grad_w{i}"),
            gradient.tensor(1 + i),
            tensors.f32(&format!("grad_w{i}"))?,
            ALLOWANCE,
        );
    }

    let mut picked = Vec::new();
    let mut code = vec![0.0; width];
    for &position in tensors.i64("position_ids")? {
        positions.write(position as usize, &mut code);
        picked.extend_from_slice(&code);
    }
    report.compare("eval_out", &picked, tensors.f32("eval_out")?, ALLOWANCE);
    Ok(report)
}

pub(crate) fn lucid_axial(config: &serde_json::Value, tensors: &Tensors) -> Result<Report, String> {
    let dim = config["dim"].as_u64().ok_or("config has no dim")? as usize;
    let shape = sizes(config, "axial_shape")?;
    let (combine, dims) = match sizes(config, "axial_dims") {
        Ok(dims) => (AxialCombine::Concat, dims),
        Err(_) => (AxialCombine::Sum, vec![dim; shape.len()]),
    };
    let fields = Fields {
        hidden_size: dim,
        axial_pos_shape: shape,
        axial_pos_embds_dim: dims,
        axial_pos_combine: combine,
        ..Fields::default()
    };
    let (config, parameters) = tables(fields, tensors)?;
    let len = tensors.shape("out")?[1];
    let mut x = Matrix::zeros(len, dim);
    Positions::new(&config, parameters.group(0)).add(&Cpu::single(), len, 0, &mut x, None);
    let mut report = Report::default();
    report.compare("out", x.as_slice(), tensors.f32("out")?, ALLOWANCE);
    Ok(report)
}
