//! What several subjects share.

pub mod editor;
pub mod fake_engine;
pub mod lsp_client;
pub mod repository;
