variable "name" {
  description = "Prefix of the names of what is made."
  type        = string
  default     = "switchyard"
}

variable "package" {
  description = "Folder with bootstrap and switchyard.yaml, as make package in deploy/sam makes it."
  type        = string
}

variable "state_machines" {
  description = "ARNs of the state machines that may be started, without version or alias."
  type        = list(string)
  validation {
    condition     = length(var.state_machines) > 0 && alltrue([for a in var.state_machines : can(regex("^arn:aws[a-z-]*:states:[a-z0-9-]+:[0-9]{12}:stateMachine:[0-9A-Za-z_-]{1,80}$", a))])
    error_message = "Give at least one ARN of a state machine, without version or alias."
  }
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

variable "codecommit_repositories" {
  description = "ARNs of CodeCommit repositories whose pushes start executions."
  type        = list(string)
  default     = []
}

variable "codepipeline" {
  description = "Whether the function serves invoke actions of CodePipeline."
  type        = bool
  default     = false
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

variable "architecture" {
  description = "What bootstrap was built for: arm64 or x86_64."
  type        = string
  default     = "arm64"
}

variable "maximum_concurrency" {
  description = "How many batches of the queue are worked on at once."
  type        = number
  default     = 10
}

variable "audit_schedule" {
  description = "How often repositories are audited, as EventBridge writes it."
  type        = string
  default     = "rate(1 hour)"
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
