import type { MailTexts } from "./en.ts";

export const ja: MailTexts = {
  code: {
    button: "続ける",
    orContinue: "または、こちらからお進みください：",
    validity: "このコードは1回のみ有効です。ご依頼からの有効時間：{{duration}}。",
    secrecy: "誰に求められても、コードを絶対に教えないでください。",
  },
  verification: {
    subject: "{{service}} のメールアドレス確認コード",
    title: "メールアドレスの確認",
    intro: "{{service}} でこのメールアドレスを確認するには、次のコードを入力してください：",
    ignore: "お心当たりのない場合は、このメールを無視してください。コードがなければ、確認は行われません。",
  },
  login: {
    subject: "{{service}} のログインコード",
    title: "ログイン",
    intro: "{{service}} にログインするには、次のコードを入力してください：",
    question: "ログインにお心当たりがありませんか？",
    report: "ご本人ではないことを報告する",
  },
  notice: {
    subject: "{{service}} のアカウントのメールアドレスが変更されました",
    title: "アカウントが変更されました",
    added: "{{service}} のお客様のアカウントにメールアドレスが追加されました。",
    verified:
      "{{service}} のお客様のアカウントのメールアドレスが確認され、コードの受信に使えるようになりました。",
    removed: "{{service}} のお客様のアカウントからメールアドレスが削除されました。",
    when: "日時：{{time}}。",
    whenFrom: "日時：{{time}}、アクセス元：{{client}}。",
    advice:
      "ご本人による変更であれば、何もする必要はありません。お心当たりのない場合は、すぐにサービスの運営者にご連絡ください。",
  },
};
