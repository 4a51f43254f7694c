package settings

// DefaultExcept returns what a nil Except means. The caller owns the slice.
func DefaultExcept() []string {
	return []string{"/health", "/healthz", "/livez", "/ready", "/readyz", "/ping", "/-/healthy", "/-/ready", "/metrics", "/debug/"}
}

// DefaultIgnoreCookies returns what a nil IgnoreCookies means. The caller owns the slice.
func DefaultIgnoreCookies() []string {
	return []string{
		"_ga", "_ga_*", "_gid", "_gat", "_gat_*", "_gcl_*", "__utm*", // Google
		"_fbp", "_fbc", // Meta
		"_hj*",           // Hotjar
		"_pk_*", "mtm_*", // Matomo
		"_clck", "_clsk", // Clarity
		"_uetsid", "_uetvid", // Bing
		"ajs_anonymous_id",                          // Segment
		"hubspotutk", "__hstc", "__hssc", "__hssrc", // HubSpot
		"_gac_*", "_dc_gtm_*", "__gads", "__gpi", "__eoi", "FPID", "FPLC", // Google
		"_ttp", "_tt_enable_cookie", // TikTok
		"_scid", "_scid_r", // Snapchat
		"_pin_unauth", "_derived_epik", "_epik", // Pinterest
		"li_fat_id", "_rdt_uuid", "_ym_uid", "_ym_d", "_ym_isad", "__qca", // LinkedIn, Reddit, Yandex, Quantcast
		"_sp_id.*", "_sp_ses.*", "_vwo_uuid*", "_vis_opt_*", "optimizelyEndUserId", "_mkto_trk", // Snowplow, VWO, Optimizely, Marketo
		"__stripe_mid", "__stripe_sid", // Stripe's fraud detection

		// Consent banners.
		"CookieConsent", "CookieConsentBulkSetting*", "OptanonConsent", "OptanonAlertBoxClosed", "cookieyes-consent", "cookielawinfo-*", "viewed_cookie_policy",
		"euconsent", "euconsent-v2", "eupubconsent-v2", "addtl_consent", "usprivacy", "FCCDCF", "FCNEC", "didomi_token", "_iub_cs-*", "cookieconsent_status",
		"cookie_notice_accepted", "cmplz_*", "borlabs-cookie", "moove_gdpr_popup", "CookieScriptConsent", "notice_preferences", "notice_gdpr_prefs", "axeptio_*",

		// Load balancers and content delivery networks.
		"AWSALB*", "AWSELB*", // Amazon
		"__cf_bm", "__cflb", "__cfruid", "__cfseq", "_cfuvid", "__cfwaitingroom", "cf_clearance", "cf_chl_*", "cf_ob_info", "cf_use_ob", // Cloudflare
		"ak_bmsc", "bm_sv", "bm_sz", "bm_mi", "_abck", // Akamai
		"ARRAffinity*", "ApplicationGatewayAffinity*", "ASLBSA*", // Azure
		"GCLB", "GCILB", // Google
		"incap_*", "visid_incap_*", "nlbi_*", // Imperva
		"BIGipServer*", // F5
	}
}
