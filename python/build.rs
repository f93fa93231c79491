//! Tells the macOS linker that the interpreter brings Python's symbols; elsewhere there is nothing to say.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
