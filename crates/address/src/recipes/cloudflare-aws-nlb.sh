# Cloudflare connects to the load balancer, which writes a PROXY header that names Cloudflare's machine.
# At Cloudflare and at the server do as for Cloudflare alone; the firewall's rule is the load balancer's.
aws elbv2 modify-target-group-attributes --target-group-arn "$TARGET_GROUP" --attributes \
    Key=proxy_protocol_v2.enabled,Value=true \
    Key=preserve_client_ip.enabled,Value=false
