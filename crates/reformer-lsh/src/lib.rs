//! Locality-sensitive hashing: random planes, buckets, sorting, chunks, nearest neighbours.
