// The mapper that is used when a provider names no `mapper_url`.
//
// It turns what Microsoft says about a person (claims) into what this site keeps (traits). To change it,
// copy this file, edit the copy and name it in the settings: "mapper_url": "file:///etc/…/mapper.jsonnet".
// `manage.py ms_identity check` evaluates your copy before anybody signs in with it.
//
// What goes in:
//   std.extVar('claims')             the known claims; an empty one is absent, so ask before you use it
//   std.extVar('claims').raw_claims  every claim of the ID token as it came: tid, oid, groups, roles, …
//   std.extVar('identity')           what is stored now (all empty at a registration)

local claims = std.extVar('claims');
local raw = std.get(claims, 'raw_claims', {});

// Anyone who runs a tenant can write any e-mail address into it. Only the optional claim `xms_edov` says
// that the owner of the e-mail's domain vouches for it; Microsoft has sent it as a boolean, a number and text.
// Add it in the app registration under "Token configuration". Never rely on `email` without it.
local email_is_verified = std.member([true, 1, '1', 'true'], std.get(raw, 'xms_edov'));

{
  identity: {
    // `[if … then 'name']` leaves the trait out when Microsoft did not send the claim.
    traits: {
      [if 'email' in claims then 'email']: claims.email,
      [if 'preferred_username' in claims then 'username']: claims.preferred_username,
      [if 'name' in claims then 'name']: claims.name,
      [if 'given_name' in claims then 'first_name']: claims.given_name,
      [if 'family_name' in claims then 'last_name']: claims.family_name,
    },
    verified_addresses: if email_is_verified && 'email' in claims then
      [{ via: 'email', value: claims.email }]
    else
      [],
  },
}
