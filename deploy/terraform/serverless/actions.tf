# The actions of the role are those of deploy/iam.yaml, by service.
locals {
  permissions = yamldecode(file("${path.module}/../../iam.yaml"))
  actions = distinct([
    for p in concat(local.permissions.calls, local.permissions.platform) :
    try(p.action, replace(p.call, ".", ":")) if try(p.function, false)
  ])
  by_service = { for a in local.actions : split(":", a)[0] => a... }
}
