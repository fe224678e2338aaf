locals {
  executions = [for a in var.state_machines : "${replace(a, ":stateMachine:", ":execution:")}:*"]
  of_machine = ["states:StartExecution", "states:ListExecutions", "states:SendTaskSuccess", "states:SendTaskFailure"]
  # Which actions may be used on what.
  grants = concat(
    [
      { actions = local.by_service["elasticfilesystem"], resources = [aws_efs_file_system.this.arn] },
      { actions = local.by_service["sqs"], resources = [aws_sqs_queue.this.arn] },
      { actions = [for a in local.by_service["states"] : a if contains(local.of_machine, a)], resources = concat(var.state_machines, [for a in var.state_machines : "${a}:*"]) },
      { actions = [for a in local.by_service["states"] : a if !contains(local.of_machine, a)], resources = local.executions },
    ],
    length(var.build_projects) == 0 ? [] : [
      { actions = local.by_service["codebuild"], resources = var.build_projects },
      { actions = local.by_service["logs"], resources = var.build_log_groups },
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
  )
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "task" {
  dynamic "statement" {
    for_each = local.grants
    content {
      actions   = statement.value.actions
      resources = statement.value.resources
    }
  }
}

# What Switchyard does.
resource "aws_iam_role" "task" {
  name_prefix        = "${var.name}-task-"
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "task" {
  name   = "switchyard"
  role   = aws_iam_role.task.id
  policy = data.aws_iam_policy_document.task.json
}

# What ECS does to start the task.
data "aws_iam_policy_document" "start" {
  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }
  statement {
    actions   = ["ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = ["*"]
  }
}

resource "aws_iam_role" "start" {
  name_prefix        = "${var.name}-start-"
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "start" {
  name   = "start"
  role   = aws_iam_role.start.id
  policy = data.aws_iam_policy_document.start.json
}
