//! The one integration binary: one module per subject. `every_file_is_a_module` fails when a file is forgotten.

mod bad_input;
mod cli;
mod coming_back;
mod dependencies;
mod documents;
mod editor_protocol;
mod fence;
mod front_ends;
mod init;
mod landing;
mod landing_held;
mod launch;
mod layers;
mod liars;
mod lsp_asking;
mod lsp_first;
mod lsp_initialize;
mod lsp_landing;
mod lsp_path;
mod lsp_process;
mod lsp_queue;
mod lsp_review;
mod lsp_session;
mod lsp_transport;
mod mailbox;
mod mcp;
mod release;
mod reviewing;
mod rounds;
mod sandbox;
mod schemas;
mod supervisor;
mod support;
mod untouched;

#[test]
fn every_file_is_a_module() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let main = std::fs::read_to_string(format!("{folder}/main.rs")).expect("main.rs is readable");
    for entry in std::fs::read_dir(folder).expect("folder is readable") {
        let name = entry.expect("entry is readable").file_name().into_string().expect("utf-8 name");
        let Some(stem) = name.strip_suffix(".rs").filter(|stem| *stem != "main") else { continue };
        assert!(main.contains(&format!("mod {stem};")), "tests/it/{name} is not declared in main.rs");
    }
}
