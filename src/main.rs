//! Entry point; everything is in the library.

fn main() -> std::process::ExitCode {
    ralph_sidecar::cli::main(std::env::args_os())
}
