output "webhook_url" {
  description = "The payload URL of a webhook, for a source that the config calls github."
  value       = "${aws_lambda_function_url.this.function_url}webhooks/github"
}

output "function_name" {
  value = aws_lambda_function.this.function_name
}

output "queue_url" {
  value = aws_sqs_queue.this.url
}

output "dead_queue_url" {
  value = aws_sqs_queue.dead.url
}

output "bucket" {
  value = aws_s3_bucket.this.bucket
}

output "invoke_policy_arn" {
  description = "Attach it to the role of a pipeline that has the function as an action."
  value       = one(aws_iam_policy.invoke[*].arn)
}
