//! Holds the namespaces of a pod open until the runtime ends it. It must do nothing else:
//! it is in every pod of the test cluster.
fn main() {
    loop {
        std::thread::park();
    }
}
