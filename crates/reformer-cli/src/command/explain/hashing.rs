//! The unit on hashing: a side of a plane, several planes, a cloud cut by them, the paper's hash, and how well it keeps
//! neighbours together.

use std::path::Path;

use reformer::lsh::{BucketCount, HashFamily, Planes, Rotations, hash_one, hash_vectors};
use reformer::tensor::{Cpu, Matrix};

use super::cloud::{self, Cut};
use super::lesson::{Lesson, Step, percent};
use super::vectors;
use crate::figure::{Axis, Figure, Scale, Series};
use crate::number::count;

const PLANES: usize = 3;
/// Points of the cloud.
const POINTS: usize = 400;
/// Hash functions that an agreement is measured with.
const TRIALS: usize = 400;

pub(crate) fn lesson(cpu: &Cpu, file: Option<&Path>, seed: u64) -> anyhow::Result<Lesson> {
    let cloud = match file {
        Some(path) => vectors::read(path)?,
        None => vectors::normal(seed, POINTS, 2),
    };
    let steps = vec![
        sides(),
        planes_make_a_number(),
        cut(cpu, &cloud, file, seed)?,
        polytope(cpu, &cloud, file, seed)?,
        agreement(seed)?,
    ];
    Ok(Lesson { unit: "hashing", steps })
}

fn sides() -> Step {
    let normal = [1.0f32, 1.0];
    let side = |p: &[f32; 2]| {
        let dot: f32 = p.iter().zip(normal).map(|(a, b)| a * b).sum();
        let words = if dot > 0.0 {
            "positive"
        } else if dot < 0.0 {
            "negative"
        } else {
            "on the plane: counts as positive"
        };
        format!("[{:>2}, {:>2}] · [1, 1] = {dot:>2}   {words}", p[0], p[1])
    };
    Step::new("On which side of a plane?")
        .say("A plane through the origin is given by the vector that stands upright on it, its normal. The sign of a dot product with the normal says on which side a vector lies:")
        .table([[1.0, 2.0], [-1.0, 1.0], [-2.0, -1.0]].iter().map(side))
        .say("Vectors that point the same way lie on the same side of most planes. That is all that hashing needs.")
}

/// The bucket of one vector in the first round.
fn bucket(family: &impl HashFamily, x: &[f32]) -> u32 {
    let mut ids = vec![0; family.rounds()];
    hash_one(x, family, &mut ids);
    ids[0]
}

fn planes_make_a_number() -> Step {
    let normals = [[1.0f32, 1.0], [-1.0, 1.0], [-1.0, -1.0]];
    let by_dimension = (0..2).flat_map(|d| normals.iter().map(move |n| n[d])).collect();
    let planes = Planes::given(2, 1, PLANES, by_dimension).expect("three planes in two dimensions");
    let hash = bucket(&planes, &[2.0, 2.0]);
    let row = |(i, n): (usize, &[f32; 2])| {
        let dot = 2.0 * n[0] + 2.0 * n[1];
        let bit = u32::from(dot >= 0.0);
        format!(
            "plane {i}: [2, 2] · [{:>2}, {:>2}] = {dot:>2}   bit {bit} × {} = {}",
            n[0],
            n[1],
            1 << i,
            bit << i
        )
    };
    Step::new("Several planes make one number")
        .say("Plane i adds 2^i if the vector is on its positive side. n planes make 2^n buckets:")
        .table(normals.iter().enumerate().map(row))
        .table([format!("hash of [2, 2]: {hash}")])
        .say("A product of exactly zero counts as the positive side here, as it does in the course.")
        .number("hash", hash)
}

fn cut(cpu: &Cpu, cloud: &Matrix, file: Option<&Path>, seed: u64) -> anyhow::Result<Step> {
    let planes = Planes::draw(seed, 0, 0, cloud.cols(), 1, PLANES)?;
    let buckets = hash_vectors(cpu, cloud.view(), &planes, None)?;
    let ids = buckets.round(0);
    let members = |id: u32| ids.iter().filter(|&&other| other == id).count();
    let bits =
        |id: u32| (0..PLANES).rev().map(|i| if id >> i & 1 == 1 { '1' } else { '0' }).collect::<String>();
    let counts: Vec<usize> = (0..1 << PLANES).map(members).collect();
    let rows = (0..1u32 << PLANES).map(|id| {
        let bar = "#".repeat(counts[id as usize] * 40 / ids.len());
        format!("bucket {id} = {}   {:>6} vectors  {bar}", bits(id), count(counts[id as usize]))
    });
    let directions = planes.directions();
    let normals: Vec<[f32; 2]> = (0..PLANES).map(|i| [directions.row(0)[i], directions.row(1)[i]]).collect();
    let about = "Colour and number: the bucket. Plane i adds 2^i on its arm's side.";
    let (words, svg) = match file {
        None => (
            "In the plane one can see it: three lines through the origin, six regions, so two of the eight buckets are empty.".to_owned(),
            cloud::draw("Three planes cut a cloud of points", about, cloud, ids, &Cut::Planes(&normals), &|x| bucket(&planes, &x)),
        ),
        Some(path) => {
            let seen = along_first_two(cloud, &normals_of(&planes));
            let about = "Seen along two normals: the axes are planes 0 and 1. Colour: the bucket.";
            (
                format!("The {} vectors of {} dimensions in {}:", count(cloud.rows()), cloud.cols(), path.display()),
                cloud::draw("Your vectors, cut by three planes", about, &seen, ids, &Cut::Axes, &|_| 0),
            )
        }
    };
    Ok(Step::new("A cloud, cut").say(words).table(rows).number("counts", counts).picture("planes.svg", svg))
}

/// Normals `[planes][dim]`.
fn normals_of(planes: &Planes) -> Vec<Vec<f32>> {
    let directions = planes.directions();
    (0..2).map(|plane| (0..planes.dim()).map(|d| directions.row(d)[plane]).collect()).collect()
}

/// Projections on two normals, scaled to unit spread.
fn along_first_two(cloud: &Matrix, normals: &[Vec<f32>]) -> Matrix {
    let dot = |i: usize, n: &[f32]| cloud.row(i).iter().zip(n).map(|(a, b)| a * b).sum::<f32>();
    let seen = Matrix::from_fn(cloud.rows(), 2, |i, axis| dot(i, &normals[axis]));
    let spread = |axis: usize| {
        let squares: f32 = (0..seen.rows()).map(|i| seen.row(i)[axis].powi(2)).sum();
        (squares / seen.rows() as f32).sqrt().max(f32::MIN_POSITIVE)
    };
    let spreads = [spread(0), spread(1)];
    Matrix::from_fn(seen.rows(), 2, |i, axis| seen.row(i)[axis] / spreads[axis])
}

fn polytope(cpu: &Cpu, cloud: &Matrix, file: Option<&Path>, seed: u64) -> anyhow::Result<Step> {
    let rotations = Rotations::draw(seed, 0, 0, cloud.cols(), 1, &BucketCount::new(&[8])?)?;
    let directions = rotations.directions();
    let x = cloud.row(0);
    let products: Vec<f32> =
        (0..4).map(|j| x.iter().enumerate().map(|(d, v)| v * directions.row(d)[j]).sum()).collect();
    let both: Vec<f32> = products.iter().copied().chain(products.iter().map(|p| -p)).collect();
    let hash = bucket(&rotations, x);
    let row = both.iter().map(|p| format!("{p:.2}")).collect::<Vec<_>>().join("  ");
    let step = Step::new("The paper's hash: argmax [xR; −xR]")
        .say("Reformer asks not for sides but for the nearest of b directions: b/2 random ones and their opposites. One product, one argmax:")
        .table([
            "[xR; −xR] of the first vector:".to_owned(),
            row,
            format!("the largest is number {hash}, counted from 0: that is its bucket"),
        ])
        .say("With as many buckets it keeps near vectors together more often than planes do, and any even number of buckets will do. trax and Hugging Face hash the same way.")
        .number("bucket", hash);
    if file.is_some() {
        return Ok(step);
    }
    let ids = hash_vectors(cpu, cloud.view(), &rotations, None)?;
    let rays: Vec<[f32; 2]> = (0..4).map(|j| [directions.row(0)[j], directions.row(1)[j]]).collect();
    let svg = cloud::draw(
        "The nearest of eight directions",
        "Colour and number: the bucket, argmax [xR; −xR]. A short one may win nowhere.",
        cloud,
        ids.round(0),
        &Cut::Rays(&rays),
        &|x| bucket(&rotations, &x),
    );
    Ok(step.picture("directions.svg", svg))
}

/// The share of hash functions in which two vectors at an angle have one bucket.
fn agrees(family: &impl HashFamily, angle: f64) -> f64 {
    let dim = family.dim();
    let at = |angle: f64| {
        let mut x = vec![0.0; dim];
        (x[0], x[1]) = (angle.cos() as f32, angle.sin() as f32);
        x
    };
    let (mut a, mut b) = (vec![0; family.rounds()], vec![0; family.rounds()]);
    hash_one(&at(0.0), family, &mut a);
    hash_one(&at(angle), family, &mut b);
    a.iter().zip(&b).filter(|(a, b)| a == b).count() as f64 / a.len() as f64
}

fn agreement(seed: u64) -> anyhow::Result<Step> {
    const DIM: usize = 16;
    let one = Planes::draw(seed, 1, 0, DIM, TRIALS, 1)?;
    let four = Planes::draw(seed, 2, 0, DIM, TRIALS, 4)?;
    let sixteen = Rotations::draw(seed, 3, 0, DIM, TRIALS, &BucketCount::new(&[16])?)?;
    let degrees: Vec<f64> = (0..=12).map(|i| 15.0 * f64::from(i)).collect();
    let measure =
        |f: &dyn Fn(f64) -> f64| degrees.iter().map(|d| (*d, f(d.to_radians()))).collect::<Vec<_>>();
    let curves = [
        ("1 − θ/π", measure(&|a| 1.0 - a / std::f64::consts::PI), false, true),
        ("one plane", measure(&|a| agrees(&one, a)), true, false),
        ("argmax of 16", measure(&|a| agrees(&sixteen, a)), true, false),
        ("four planes", measure(&|a| agrees(&four, a)), true, false),
    ];
    let row = |at: usize| {
        let [_, one, sixteen, four] = [0, 1, 2, 3].map(|c| percent(curves[c].1[at].1));
        format!("{:>4}°      {one:>5}         {four:>5}              {sixteen:>5}", degrees[at])
    };
    let rows = [0, 1, 2, 3, 4, 6, 8].map(row);
    let header = "angle   one plane   four planes   argmax of 16 directions".to_owned();
    let numbers: Vec<Vec<f64>> = curves.iter().map(|c| c.1.iter().map(|p| p.1).collect()).collect();
    let figure = Figure {
        title: "How often do two vectors share a bucket?".into(),
        subtitle: format!("{TRIALS} random hash functions in {DIM} dimensions"),
        x: Axis { label: "angle between them, degrees".into(), scale: Scale::Linear },
        y: Axis { label: "share of hash functions".into(), scale: Scale::Linear },
        series: curves
            .into_iter()
            .enumerate()
            .map(|(look, (name, points, marks, dashed))| Series {
                name: name.into(),
                points,
                dashed,
                marks,
                look,
            })
            .collect(),
    };
    Ok(Step::new("Near vectors meet, far ones do not")
        .say("Two vectors at angle θ lie on the same side of one random plane with probability 1 − θ/π. Measured, with sixteen buckets made in two ways:")
        .table(std::iter::once(header).chain(rows))
        .say("One hash misses some neighbours. So Reformer hashes several times (rounds), each with directions of its own.")
        .number("angles", degrees)
        .number("agreement", numbers)
        .picture("agreement.svg", figure.svg()))
}
