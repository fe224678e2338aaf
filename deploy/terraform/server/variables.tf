variable "name" {
  description = "Prefix of the names of what is made."
  type        = string
  default     = "switchyard"
}

variable "image" {
  description = "Image with the config at /etc/switchyard/switchyard.yaml, see docs/aws.md."
  type        = string
}

variable "architecture" {
  description = "What the image was built for: ARM64 or X86_64."
  type        = string
  default     = "ARM64"
}

variable "environment" {
  description = "Environment variables that the config names, such as the ARN of a secret. They are in the state, so put no secret itself there."
  type        = map(string)
  default     = {}
}

variable "secret_arns" {
  description = "ARNs of secrets in Secrets Manager that the config refers to."
  type        = list(string)
  default     = []
}

variable "parameter_arns" {
  description = "ARNs of parameters that the config refers to with aws-ssm."
  type        = list(string)
  default     = []
}

variable "key_arns" {
  description = "ARNs of KMS keys of your own that encrypt those."
  type        = list(string)
  default     = []
}

variable "certificate_arn" {
  description = "ARN of a certificate in ACM for the name under which the server is reached."
  type        = string
}

variable "vpc_id" {
  description = "Where it runs."
  type        = string
}

variable "public_subnets" {
  description = "Two subnets at least, for the load balancer."
  type        = list(string)
}

variable "task_subnets" {
  description = "Subnets for the task and its file system, one in each availability zone, with a way out to AWS and the git host."
  type        = list(string)
}

variable "assign_public_ip" {
  description = "True where the task's subnets are public and have no NAT gateway."
  type        = bool
  default     = false
}

variable "allowed_cidrs" {
  description = "Who may reach the load balancer. Webhooks and the API prove who they are."
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "build_projects" {
  description = "ARNs of CodeBuild projects whose logs are shown."
  type        = list(string)
  default     = []
}

variable "build_log_groups" {
  description = "ARNs of those projects' log groups, with :* at the end."
  type        = list(string)
  default     = []
}

variable "state_machines" {
  description = "ARNs of the state machines that may be started, without version or alias."
  type        = list(string)
  validation {
    condition     = length(var.state_machines) > 0 && alltrue([for a in var.state_machines : can(regex("^arn:aws[a-z-]*:states:[a-z0-9-]+:[0-9]{12}:stateMachine:[0-9A-Za-z_-]{1,80}$", a))])
    error_message = "Give at least one ARN of a state machine, without version or alias."
  }
}

variable "codecommit_repositories" {
  description = "ARNs of CodeCommit repositories whose pushes start executions."
  type        = list(string)
  default     = []
}

variable "assume_roles" {
  description = "ARNs of the roles that the config names, for other accounts."
  type        = list(string)
  default     = []
}

variable "alarm_topics" {
  description = "ARNs of the SNS topics that alarms go to."
  type        = list(string)
  default     = []
}

variable "log_retention_days" {
  description = "For how long log lines are kept."
  type        = number
  default     = 90
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = { application = "switchyard" }
}
