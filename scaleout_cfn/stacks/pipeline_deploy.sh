# Deploys an image through CloudFormation: a change set on the root stack, with its template and all of its other
# parameters as they are. Wants STACK, PARAMETER (of the service's image), REPOSITORY_URI and IMAGE_DIGEST, and the AWS
# command line. JOBS are those of the image, a TITLE=PARAMETER each: with a parameter of its own a job is given the image
# first and run, and the service gets it once the job has ended well.
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

  value() { stack "Parameters[?ParameterKey=='$1'].ParameterValue | [0]"; }
  task() { aws ecs describe-tasks --cluster "$cluster" --tasks "$task" --query "tasks[0].$1" --output text; }

  # Whatever is under way ends first: the first deployment of the set, or one of somebody else's.
  settle() {
    while status=$(stack StackStatus) && [[ $status == *_IN_PROGRESS ]]; do
      sleep 10
    done
    case $status in
      CREATE_COMPLETE | UPDATE_COMPLETE | UPDATE_ROLLBACK_COMPLETE | IMPORT_COMPLETE | IMPORT_ROLLBACK_COMPLETE) ;;
      *) fail "stack $STACK is in state '$status' and cannot be updated; see: scaleout-cfn diagnose --stack $STACK" ;;
    esac
  }

  # Gives the image to a parameter of the stack, and waits for the end of that.
  bring() {
    local parameter=$1 parameters key
    settle
    parameters=("ParameterKey=$parameter,ParameterValue=$image")
    for key in $(stack 'Parameters[].ParameterKey'); do
      [[ $key == "$parameter" ]] || parameters+=("ParameterKey=$key,UsePreviousValue=true")
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
        UPDATE_COMPLETE) return ;;
        UPDATE_ROLLBACK_COMPLETE | *_FAILED)
          events "ends_with(ResourceStatus, 'FAILED')].[LogicalResourceId, ResourceStatusReason]" table
          fail "$image is not deployed: stack $STACK is in state $status; see: scaleout-cfn diagnose --stack $STACK"
          ;;
        *) sleep 10 ;;
      esac
    done
  }

  # One run of a job, as its stack's output says it is to be asked for.
  run() {
    local title=$1 nested request task cluster status code
    nested=$(aws cloudformation describe-stack-resource --stack-name "$STACK" --logical-resource-id "$title" \
      --query StackResourceDetail.PhysicalResourceId --output text)
    request=$(aws cloudformation describe-stacks --stack-name "$nested" \
      --query "Stacks[0].Outputs[?OutputKey=='RunTask'].OutputValue" --output text)
    task=$(aws ecs run-task --cli-input-json "$request" --query '[tasks[0].taskArn, failures[0].reason]' --output text)
    [[ $task == arn:* ]] || fail "$title has no place in the cluster: ${task#None[[:space:]]}; $image is not deployed"
    task=${task%%[[:space:]]*}
    cluster=${task%/*} cluster=${cluster##*/}
    echo "$title runs: $task"
    while status=$(task lastStatus) && [[ $status != STOPPED ]]; do
      sleep 10
    done
    code=$(task 'containers[0].exitCode')
    [[ $code == 0 ]] || fail "$title ended with exit code $code ($(task stoppedReason)); the services keep the image that \
they have; its log is in the log group of the stack $nested"
    echo "$title ended well"
  }

  settle
  current=$(value "$PARAMETER")
  [[ $current != None ]] || fail "stack $STACK has no parameter $PARAMETER; is it the root of a set, and the service still in it?"
  if [[ $current == "$image" ]]; then
    echo "$image is deployed already"
    exit 0
  fi
  [[ -n $current || -z ${JOBS:-} ]] ||
    fail "the first image comes with stacks of jobs, which this may not make; bring it by scaleout-cfn deploy --image"
  for job in ${JOBS:-}; do
    parameter=${job#*=}
    [[ -n $parameter ]] || continue
    # One that has the image already may have been cut off, or have failed: it runs until the service has the image.
    # Not behind ||, where a function goes on after what fails in it.
    if [[ $(value "$parameter") != "$image" ]]; then bring "$parameter"; fi
    run "${job%%=*}"
  done
  bring "$PARAMETER"
  echo "$image is deployed"
)
deploy_image
