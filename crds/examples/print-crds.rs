//! Prints every custom resource definition as YAML documents, for `charts/rollpin-crds/`.
//!
//! It writes nothing by itself: `make crds` puts the output in its place.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for crd in rollpin_crds::custom_resource_definitions()? {
        print!("---\n{}", serde_yaml::to_string(&crd)?);
    }
    Ok(())
}
