//! A small convolutional RevNet, its optimizer and its data: shared by the example and its test.

pub(crate) mod adam;
pub(crate) mod convolution;
pub(crate) mod images;
pub(crate) mod network;
