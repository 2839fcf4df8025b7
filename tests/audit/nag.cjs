// cdk-nag's rule packs on a folder of rendered templates in JSON: what they find, as JSON on the standard output.
// https://github.com/cdklabs/cdk-nag/blob/main/README.md#using-on-cloudformation-templates
const fs = require("fs");
const path = require("path");
const { App, Stack } = require("aws-cdk-lib");
const { CfnInclude } = require("aws-cdk-lib/cloudformation-include");
const nag = require("cdk-nag");

const PACKS = ["AwsSolutionsChecks", "NIST80053R5Checks", "PCIDSS321Checks", "HIPAASecurityChecks"];
const folder = process.argv[2];
const app = new App({ analyticsReporting: false });
for (const file of fs.readdirSync(folder).sort()) {
  const stack = new Stack(app, path.parse(file).name, { analyticsReporting: false });
  new CfnInclude(stack, "Template", { templateFile: path.join(folder, file) });
}
const found = [];
for (const name of PACKS) {
  for (const violation of new nag[name](app, { verbose: true }).validateScope(app).violations) {
    for (const resource of violation.violatingResources) {
      const [stack, , title] = resource.constructPath.split("/");
      found.push({ rule: violation.ruleName, place: `${stack}/${title}`, what: violation.description });
    }
  }
}
console.log(JSON.stringify(found));
