//! Generating with Reformers: sampling chain, decode loop, conversations.
