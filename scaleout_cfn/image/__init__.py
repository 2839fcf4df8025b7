"""From a folder with a Dockerfile to an image in a service's repository, pinned by its digest.

context (the tag of a folder: pure) -> builder (docker, podman, buildah or finch) -> repository (ECR) -> delivery
"""
