# Deploys an image through CloudFormation: one change set on the root stack, with its template and all of its other
# parameters as they are. Wants STACK, PARAMETER (of the service's image), REPOSITORY_URI and IMAGE_DIGEST, and the AWS
# command line.
deploy_image() (
  set -euo pipefail

  fail() { echo "error: $1" >&2; exit 1; }
  stack() { aws cloudformation describe-stacks --stack-name "$STACK" --query "Stacks[0].$1" --output text; }
  change_set() { aws cloudformation describe-change-set --change-set-name "$1" --query "$2" --output "${3:-text}"; }
  events() {
    aws cloudformation describe-stack-events --stack-name "$STACK" --no-paginate \
      --query "StackEvents[?ClientRequestToken=='$name' && $1" --output "${2:-text}"
  }
  # A change set and those that are nested in it.
  show() {
    change_set "$1" 'Changes[].ResourceChange.[Action, ResourceType, LogicalResourceId, Replacement]' table
    local nested
    for nested in $(change_set "$1" 'Changes[].ResourceChange.ChangeSetId'); do
      [[ $nested == None ]] || show "$nested"
    done
  }

  [[ $IMAGE_DIGEST =~ ^sha256:[0-9a-f]{64}$ ]] ||
    fail "IMAGE_DIGEST: got '$IMAGE_DIGEST', not the digest of an image; see what the build has written"
  image=$REPOSITORY_URI@$IMAGE_DIGEST

  # Whatever is under way ends first: the first deployment of the set, or one of somebody else's.
  while status=$(stack StackStatus) && [[ $status == *_IN_PROGRESS ]]; do
    sleep 10
  done
  case $status in
    CREATE_COMPLETE | UPDATE_COMPLETE | UPDATE_ROLLBACK_COMPLETE | IMPORT_COMPLETE | IMPORT_ROLLBACK_COMPLETE) ;;
    *) fail "stack $STACK is in state '$status' and cannot be updated; see: scaleout-cfn diagnose --stack $STACK" ;;
  esac

  current=$(stack "Parameters[?ParameterKey=='$PARAMETER'].ParameterValue | [0]")
  [[ $current != None ]] || fail "stack $STACK has no parameter $PARAMETER; is it the root of a set, and the service still in it?"
  if [[ $current == "$image" ]]; then
    echo "$image is deployed already"
    exit 0
  fi

  parameters=("ParameterKey=$PARAMETER,ParameterValue=$image")
  for key in $(stack 'Parameters[].ParameterKey'); do
    [[ $key == "$PARAMETER" ]] || parameters+=("ParameterKey=$key,UsePreviousValue=true")
  done

  name=image-${IMAGE_DIGEST:7:12}-$(date +%s)
  # No --role-arn: a stack keeps the role that it is once given.
  change=$(aws cloudformation create-change-set --stack-name "$STACK" --change-set-name "$name" \
    --use-previous-template --include-nested-stacks --capabilities CAPABILITY_NAMED_IAM \
    --parameters "${parameters[@]}" --query Id --output text)
  while status=$(change_set "$change" Status) && [[ $status == CREATE_PENDING || $status == CREATE_IN_PROGRESS ]]; do
    sleep 5
  done
  if [[ $status != CREATE_COMPLETE ]]; then
    reason=$(change_set "$change" StatusReason)
    aws cloudformation delete-change-set --change-set-name "$change"
    fail "the change set is in state '$status': $reason"
  fi
  show "$change"

  # A previous value of this kind is a name; what it stands for, CloudFormation reads anew.
  resolved='sort_by(Parameters[?ResolvedValue], &ParameterKey)[].[ParameterKey, ResolvedValue]'
  before=$(stack "$resolved")
  after=$(change_set "$change" "$resolved")
  if [[ $before != "$after" ]]; then
    aws cloudformation delete-change-set --change-set-name "$change"
    fail "more than the image would change, for SSM parameters have moved from '$before' to '$after'; deploy that \
first with scaleout-cfn deploy, and name a version in capacity.NAME.machine_image"
  fi

  aws cloudformation execute-change-set --change-set-name "$change" --client-request-token "$name"
  while :; do
    status=$(events 'PhysicalResourceId==StackId].ResourceStatus | [0]')
    case $status in
      UPDATE_COMPLETE)
        echo "$image is deployed"
        exit 0
        ;;
      UPDATE_ROLLBACK_COMPLETE | *_FAILED)
        events "ends_with(ResourceStatus, 'FAILED')].[LogicalResourceId, ResourceStatusReason]" table
        fail "$image is not deployed: stack $STACK is in state $status; see: scaleout-cfn diagnose --stack $STACK"
        ;;
      *) sleep 10 ;;
    esac
  done
)
deploy_image
