# Attach this policy to the distribution's behaviours. Let the origin also demand a secret header that only your
# distribution adds: anybody's distribution connects from the same networks.
aws cloudfront create-origin-request-policy --origin-request-policy-config '{
    "Name": "viewer-address",
    "HeadersConfig": {
        "HeaderBehavior": "allViewerAndWhitelistCloudFront",
        "Headers": { "Quantity": 1, "Items": ["CloudFront-Viewer-Address"] }
    },
    "CookiesConfig": { "CookieBehavior": "all" },
    "QueryStringsConfig": { "QueryStringBehavior": "all" }
}'
