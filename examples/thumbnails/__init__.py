"""An example of mapped steps: a thumbnail of each image in a ZIP file, and a contact sheet."""
