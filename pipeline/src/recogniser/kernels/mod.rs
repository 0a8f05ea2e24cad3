//! Arithmetic on rows, between the products of bytes that ONNX Runtime does, the product with the vocabulary, and, for some
//! processors, the products of bytes themselves: as vector instructions, without allocation.

pub mod attention;
pub mod fine;
pub mod lanes;
pub mod product;
pub mod rows;
pub mod vocabulary;
