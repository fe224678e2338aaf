output "load_balancer_name" {
  description = "Where the name in the certificate must point to, as CNAME or alias."
  value       = aws_lb.this.dns_name
}

output "queue_url" {
  value = aws_sqs_queue.this.url
}

output "log_group" {
  value = aws_cloudwatch_log_group.this.name
}
