"""From a folder with a Dockerfile to an image in the stack's repository, pinned by its digest.

context (the tag of a folder: pure) -> builder (docker, podman, buildah or finch) -> repository (ECR) -> delivery
"""
