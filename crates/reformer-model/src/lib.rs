//! The Reformer language model: configuration, parameters, forward, reverse, decode, Hugging Face directories.
