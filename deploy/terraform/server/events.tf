# How executions fare, as hints, what they ask people, and CodeCommit's events.
resource "aws_sqs_queue" "this" {
  name                      = var.name
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  redrive_policy            = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead.arn, maxReceiveCount = 10 })
  tags                      = var.tags
}

resource "aws_sqs_queue" "dead" {
  name                      = "${var.name}-dead"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}

# Who may send may start executions: our rules.
data "aws_iam_policy_document" "queue" {
  for_each = { this = aws_sqs_queue.this.arn, dead = aws_sqs_queue.dead.arn }
  statement {
    actions   = ["sqs:SendMessage"]
    resources = [each.value]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [for r in aws_cloudwatch_event_rule.this : r.arn]
    }
  }
  statement {
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [each.value]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "this" {
  for_each  = { this = aws_sqs_queue.this.url, dead = aws_sqs_queue.dead.url }
  queue_url = each.value
  policy    = data.aws_iam_policy_document.queue[each.key].json
}

locals {
  rules = merge(
    {
      status = {
        source      = ["aws.states"]
        detail-type = ["Step Functions Execution Status Change"]
        detail      = { stateMachineArn = var.state_machines }
      }
      # Step Functions adds the ARN of the state machine that asks.
      approval = {
        source      = ["switchyard"]
        detail-type = ["Approval requested"]
        resources   = var.state_machines
      }
    },
    length(var.codecommit_repositories) == 0 ? {} : {
      codecommit = {
        source      = ["aws.codecommit"]
        detail-type = ["CodeCommit Repository State Change", "CodeCommit Pull Request State Change"]
        resources   = var.codecommit_repositories
      }
    },
  )
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each      = toset(keys(local.rules))
  name          = "${var.name}-${each.key}"
  event_pattern = jsonencode(local.rules[each.key])
  tags          = var.tags
}

resource "aws_cloudwatch_event_target" "this" {
  for_each = aws_cloudwatch_event_rule.this
  rule     = each.value.name
  arn      = aws_sqs_queue.this.arn
  dead_letter_config {
    arn = aws_sqs_queue.dead.arn
  }
}
