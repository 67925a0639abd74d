"""Files and blobs that agents make, in a folder or an object storage."""
