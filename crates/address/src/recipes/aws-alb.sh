# The load balancer adds the client to X-Forwarded-For ("preserve" would pass the client's own list on).
aws elbv2 modify-load-balancer-attributes --load-balancer-arn "$LOAD_BALANCER" --attributes \
    Key=routing.http.xff_header_processing.mode,Value=append \
    Key=routing.http.xff_client_port.enabled,Value=false \
    Key=routing.http.drop_invalid_header_fields.enabled,Value=true
