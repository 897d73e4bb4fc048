//! The user pool.

use resources::Template;

#[test]
fn an_address_is_verified_at_sign_up_and_before_it_replaces_another() {
    let template = Template::on_aws();
    let [(_, pool)] = &template.all("AWS::Cognito::UserPool")[..] else { panic!("one user pool") };
    assert_eq!(pool["AutoVerifiedAttributes"], serde_json::json!(["email"]));
    let update = &pool["UserAttributeUpdateSettings"];
    assert_eq!(update["AttributesRequireVerificationBeforeUpdate"], serde_json::json!(["email"]));
}
