//! Every limit of the product, with its derivation.
