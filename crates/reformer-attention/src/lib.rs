//! Full, local and LSH attention, forward, backward and one-step decode.
