//! Static checks of a release, with stable codes: E blocks, W warns, A needs an approval.
