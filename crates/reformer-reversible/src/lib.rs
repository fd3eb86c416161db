//! Reversible residual couplings and sequences, generic over their two functions.
