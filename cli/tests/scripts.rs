//! Golden scripts: what the offline verbs print, word for word, and with which exit code.
//!
//! `TRYCMD=overwrite cargo test -p rollpin-cli --test scripts` writes them anew; the difference is reviewed like code.

#[test]
fn the_offline_verbs_say_what_the_scripts_say() {
    trycmd::TestCases::new()
        .case("tests/scripts/*.trycmd")
        .env("NO_COLOR", "1")
        .env("KUBECONFIG", "/nonexistent")
        .env("HOME", "/nonexistent");
}
