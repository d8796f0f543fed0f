"""Where prices come from: one file per source, all behind the protocol in `base`."""
