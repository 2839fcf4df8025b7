#!/bin/bash
# Run once at first boot, before the ECS agent starts: the agent waits for this script to end.
set -euo pipefail

cat >> /etc/ecs/ecs.config <<'SETTINGS'
ECS_CLUSTER=${ClusterName}
ECS_RESERVED_MEMORY=${ReservedMemory}
ECS_DYNAMIC_HOST_PORT_RANGE=${FirstPort}-${LastPort}
ECS_ENABLE_SPOT_INSTANCE_DRAINING=true
ECS_AWSVPC_BLOCK_IMDS=true
SETTINGS

# Success is an agent that has registered with the cluster, not a machine that has booted. It is waited for in the
# background, for the agent starts only after this script.
cat > /usr/local/bin/signal-when-registered <<'SIGNAL'
#!/bin/bash
until dnf install -y -q aws-cfn-bootstrap; do sleep 5; done
until curl -fsS --max-time 5 http://localhost:51678/v1/metadata | grep -q '"ContainerInstanceArn":"arn:'; do
  sleep 2
done
# Nobody waits for the signal of a node that scaling has added, so its refusal is no failure.
/opt/aws/bin/cfn-signal --success true --stack '${AWS::StackName}' --resource '${GroupTitle}' \
  --region '${AWS::Region}' || true
SIGNAL
chmod +x /usr/local/bin/signal-when-registered
systemd-run --no-block --unit=signal-when-registered /usr/local/bin/signal-when-registered
