# The load balancer writes a PROXY header of version 2, and connects from its own address.
aws elbv2 modify-target-group-attributes --target-group-arn "$TARGET_GROUP" --attributes \
    Key=proxy_protocol_v2.enabled,Value=true \
    Key=preserve_client_ip.enabled,Value=false
