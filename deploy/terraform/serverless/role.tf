locals {
  executions = [for a in var.state_machines : "${replace(a, ":stateMachine:", ":execution:")}:*"]
  # Which actions may be used on what.
  grants = concat(
    [
      { actions = local.by_service["logs"], resources = ["${aws_cloudwatch_log_group.this.arn}:*"] },
      { actions = local.by_service["sqs"], resources = [aws_sqs_queue.this.arn] },
      {
        actions   = [for a in local.by_service["s3"] : a if a != "s3:ListBucket"],
        resources = ["${aws_s3_bucket.this.arn}/deliveries/*", "${aws_s3_bucket.this.arn}/audits/*"]
      },
      { actions = ["s3:ListBucket"], resources = [aws_s3_bucket.this.arn] },
      { actions = ["states:StartExecution"], resources = concat(var.state_machines, [for a in var.state_machines : "${a}:*"]) },
      { actions = [for a in local.by_service["states"] : a if a != "states:StartExecution"], resources = local.executions },
    ],
    length(var.secret_arns) == 0 ? [] : [
      { actions = local.by_service["secretsmanager"], resources = var.secret_arns },
    ],
    length(var.parameter_arns) == 0 ? [] : [
      { actions = local.by_service["ssm"], resources = var.parameter_arns },
    ],
    length(var.key_arns) == 0 ? [] : [
      { actions = local.by_service["kms"], resources = var.key_arns },
    ],
    length(var.codecommit_repositories) == 0 ? [] : [
      { actions = local.by_service["codecommit"], resources = var.codecommit_repositories },
    ],
    length(var.assume_roles) == 0 ? [] : [
      { actions = local.by_service["sts"], resources = var.assume_roles },
    ],
    !var.codepipeline ? [] : [
      { actions = local.by_service["codepipeline"], resources = ["*"] }, # a job has no ARN
      { actions = ["s3:GetObject"], resources = ["${aws_s3_bucket.this.arn}/pipelines/*"] },
    ],
  )
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "role" {
  dynamic "statement" {
    for_each = local.grants
    content {
      actions   = statement.value.actions
      resources = statement.value.resources
    }
  }
}

resource "aws_iam_role" "this" {
  name_prefix        = "${var.name}-"
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "this" {
  name   = "switchyard"
  role   = aws_iam_role.this.id
  policy = data.aws_iam_policy_document.role.json
}

# For the role of a pipeline: what it needs to invoke the function.
data "aws_iam_policy_document" "invoke" {
  statement {
    actions   = ["lambda:InvokeFunction"]
    resources = [aws_lambda_function.this.arn]
  }
  statement {
    actions   = ["lambda:ListFunctions"]
    resources = ["*"]
  }
}

resource "aws_iam_policy" "invoke" {
  count       = var.codepipeline ? 1 : 0
  name_prefix = "${var.name}-invoke-"
  policy      = data.aws_iam_policy_document.invoke.json
  tags        = var.tags
}
