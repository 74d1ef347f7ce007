//! What comes in by mail: reading it here; matching, classifying and applying it beside.

mod decode;
mod html;
mod mime;
pub mod parse;
pub mod references;

#[cfg(test)]
mod tests;
