//! Plain backpropagation through the same blocks: every activation kept, none restored. For tests.

use crate::{
    activations::{Activations, Streams},
    coupling::Coupling,
    sublayer::Sublayer,
};

/// What plain backpropagation gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Backpropagated<A, P> {
    /// The streams after the last block.
    pub output: Streams<A>,
    /// The gradient of the first block's input.
    pub input_grads: Streams<A>,
    /// Parameter gradients, first block to last.
    pub gradients: Vec<P>,
}

/// Forward through `blocks` from `input`, `loss_grad(output)` for the gradient there, then back through kept inputs.
pub fn backpropagate<C: ?Sized, A, F, G>(
    blocks: &[Coupling<F, G>],
    context: &C,
    input: Streams<A>,
    loss_grad: impl FnOnce(&Streams<A>) -> Streams<A>,
    mut zeros: impl FnMut(usize) -> F::Gradient,
) -> Result<Backpropagated<A, F::Gradient>, F::Error>
where
    A: Activations + Clone,
    F: Sublayer<C, Activations = A, Differentials = A>,
    G: Sublayer<C, Activations = A, Differentials = A, Gradient = F::Gradient, Error = F::Error>,
{
    let (mut x, mut kept) = (input, Vec::new());
    for Coupling { f, g } in blocks {
        let x2 = x.second.clone();
        let f_saved = f.forward(context, &x2, &mut x.first)?;
        let y1 = x.first.clone();
        kept.push((x2, f_saved, g.forward(context, &y1, &mut x.second)?, y1));
    }
    let (mut d, mut gradients) = (loss_grad(&x), Vec::new());
    for (block, (Coupling { f, g }, (x2, f_saved, g_saved, y1))) in blocks.iter().zip(kept).enumerate().rev()
    {
        let (mut p, mut unused) = (zeros(block), x2.zeros_like());
        g.reverse_and_grad(context, &y1, &g_saved, &mut unused, &d.second, &mut d.first, &mut p)?;
        f.reverse_and_grad(context, &x2, &f_saved, &mut unused, &d.first, &mut d.second, &mut p)?;
        gradients.push(p);
    }
    gradients.reverse();
    Ok(Backpropagated { output: x, input_grads: d, gradients })
}
