"""Whether a deployment could work from here: credentials, region, permissions, bucket, service-linked role."""
