"""The reference image: templates on the MUSE grid."""
