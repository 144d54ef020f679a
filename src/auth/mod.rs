//! Who may come in: from headers to [`Verified`] or a reason why not.
