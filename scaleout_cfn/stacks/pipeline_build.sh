# Builds the image, pushes it under a tag of its own, and writes its digest into the file image-digest.
# Wants REPOSITORY_URI, IMAGE_TAG, PLATFORM and CONTEXT, the AWS command line and docker.
build_image() (
  set -euo pipefail
  image=$REPOSITORY_URI:$IMAGE_TAG

  aws ecr get-login-password | docker login --username AWS --password-stdin "${REPOSITORY_URI%%/*}"
  # BuildKit, for a Dockerfile may mount secrets; no attestations, for with them an image is several in the registry.
  export DOCKER_BUILDKIT=1 BUILDX_NO_DEFAULT_ATTESTATIONS=1
  docker build --pull --platform "$PLATFORM" --tag "$image" "$CONTEXT"
  docker push "$image"

  # As the registry knows it: this is what is deployed, and no tag.
  digest=$(aws ecr describe-images --repository-name "${REPOSITORY_URI#*/}" --image-ids "imageTag=$IMAGE_TAG" \
    --query 'imageDetails[0].imageDigest' --output text)
  echo "pushed $image, $digest"
  echo "$digest" > image-digest
)
build_image
