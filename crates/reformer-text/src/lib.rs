//! Text for Reformers: bytes or BPE, chat templates, stream decoding, dialogue corpora.
